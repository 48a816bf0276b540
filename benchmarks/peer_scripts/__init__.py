"""What a user would pick instead of Rasd, each as the small script that it takes; ``benchmarks/peers.py`` runs them."""
