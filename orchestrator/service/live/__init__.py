"""What changes while somebody looks."""
