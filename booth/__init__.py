"""The photo booth: made-up products, their pictures with known truth, and the stations and people around a line.

Nothing of the line may import it; it knows the line only through its topics. Same seed, same bytes, in every process.
"""
