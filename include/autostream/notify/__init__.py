"""What happened, told to those whom it concerns: routed, put into words, kept until it is sent."""
