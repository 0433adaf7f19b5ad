"""What `trunkline connect` is made of: an address, a handshake, a conversation, and two ways to hold it."""
