"""What all commands share: their frame, options and arguments, tables and text."""
