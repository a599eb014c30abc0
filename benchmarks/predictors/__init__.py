"""The latency models, measured, fitted and judged side by side."""
