"""What a hypernetwork is: its structure, its vocabulary, its layers."""
