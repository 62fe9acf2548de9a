"""Networks: of any search space, the supernet on top, and published models beside them."""
