"""Side by side with peers: every figure stands beside the others' from the same run on the same machine."""
