"""Networks that no package makes, or not by themselves. They run in the environment."""
