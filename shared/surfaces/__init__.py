"""What must be known of an inference endpoint: its request, its answers and their usage. Gateway, worker, jobs and
batches read the same objects; nothing here waits or imports any of them.

`request.read` decodes a request, `input_size.measure` says how much it gives a model to read, `parameters.restricted`
what of it is sent on, `tally.AnswerTally` counts an answer as it passes, `usage.read` reads what its server reports.
"""
