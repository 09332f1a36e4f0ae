"""What runs in the PyTorch converter's own environment."""
