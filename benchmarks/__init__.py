"""What the product costs, measured on this machine: `python -m benchmarks [NAME]`. Linux only; loopback only."""
