"""One page of trainings and results: read, arranged in sections of blocks, written as HTML."""
