"""The fault drill: transfers through a network that loses, repeats and distorts answers, and through kills."""
