"""What a plan would do: its calls run on state of one final block, foreign code in a limited process of its own."""
