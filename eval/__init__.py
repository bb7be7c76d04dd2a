"""What is measured: metrics, compressed files, benchmarks, plots."""
