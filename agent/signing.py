"""Which signer a configuration stands for."""

from agent.config import Config
from contracts.signing.signer_client import SignerSpec


def signer_spec(config: Config) -> SignerSpec:
    """The signer of the data folder, over the configured credentials."""
    return SignerSpec(
        folder=config.data_dir / "signer",
        credentials_dir=config.credentials_dir,
        network=config.network,
        direct=config.embedded,
        passphrase_file=config.keys.passphrase_file,
        start=config.keys.start_signer,
    )
