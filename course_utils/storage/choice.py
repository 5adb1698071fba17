"""The choice: of all the ways in which tensors can lie in a file, those that make it shortest."""

import functools

# More bytes than what a layout says of itself in the header, and the names of the parts that it
# needs, ever take.
NOTES = 192


def smallest(sizes, length, *starts):
    """Chooses a candidate for each tensor, so that no other choice for a single one makes the file
    shorter; of equals, the simpler one.

    What a layout takes in the header depends on those beside it: what was said before is short to
    say again. So whole files are compared, but only where the tensors' own bytes leave that open.

    Args:
        sizes: For each tensor the bytes of its candidates without header, the simplest first.
        length: Says how long the file is with a choice.
        starts: Choices that the file shall not be longer with.

    Returns:
        The choice: for each tensor the position of a candidate.
    """
    cheapest = tuple(some.index(min(some)) for some in sizes)
    near = [[at for at, size in enumerate(some) if size < min(some) + NOTES] for some in sizes]
    if all(len(some) == 1 for some in near):
        return cheapest

    @functools.cache
    def rank(choice):
        return length(choice), sum(choice)

    def settled(choice):
        """Changes one tensor's candidate after the other, as long as that makes it better."""
        before = None
        while choice != before:
            before = choice
            for i, some in enumerate(near):
                choice = min(((*choice[:i], at, *choice[i + 1 :]) for at in some), key=rank)
        return choice

    def nearby(choice):
        return tuple(at if at in some else best for at, some, best in zip(choice, near, cheapest))

    simplest = tuple(some[0] for some in near)
    return min((settled(nearby(one)) for one in (simplest, cheapest, *starts)), key=rank)
