"""What transformer families share: genes, columns, the rows of a layer, scaling."""
