"""What engines share: the contract they fulfil, RPC, timing, and what this machine is."""
