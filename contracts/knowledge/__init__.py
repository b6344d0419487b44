"""What is known of tokens, contracts and the chain's facts."""
