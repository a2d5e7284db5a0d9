"""What must be known of an inference endpoint: its request, its answers and their usage. Gateway, worker, jobs and
batches read the same objects; nothing here waits or imports any of them."""
