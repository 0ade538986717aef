"""What compute is and costs: dated tables, each fact with its source and the day it was checked."""
