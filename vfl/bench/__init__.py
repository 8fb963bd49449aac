"""What encryption costs, measured: `vfl bench`, and the estimate of `vfl check`."""
