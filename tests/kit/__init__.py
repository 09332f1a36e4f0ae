"""What tests share: small models, filled stores, stand-ins, hosts and processes to follow."""
