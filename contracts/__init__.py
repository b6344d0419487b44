"""NEAR without any model: calls, signing, the chain, the virtual machine and the embedded chain."""
