"""Commands around the service: serving, its tokens, reports."""
