"""Networks whose activations nobody sees."""
