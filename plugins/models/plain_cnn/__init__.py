"""Plain convolutional networks: convolutions, max-pools and fully connected layers."""
