"""Sources of the contracts that the embedded chain starts with, in C, and their build."""
