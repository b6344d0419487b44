"""May it go: validation of built calls."""
