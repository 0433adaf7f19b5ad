"""What a WebSocket API is: pure data, no I/O."""
