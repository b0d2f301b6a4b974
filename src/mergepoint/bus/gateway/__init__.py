"""Messages by HTTP, for programs that know nothing of the bus: posted to them and by them."""
