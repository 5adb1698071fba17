"""Serving: many requests that come when they like, answered by one model row beside row.

What the model does is real, each pass with the time that it took. What is simulated is the clock:
when requests arrive is drawn, and nobody waits while nothing is to be done.
"""

import collections
import dataclasses
import time

import numpy as np

from course_utils.backend import tf
from course_utils.checks import one_of, positive, token_ids, whole
from course_utils.checks import seed as checked_seed
from course_utils.decoding.loops import CHUNK
from course_utils.models.cache import place
from course_utils.models.compiled import bound


@dataclasses.dataclass(frozen=True)
class Request:
    """What somebody wants.

    Attributes:
        arrival: When it came, in seconds.
        prompt: Token ids, a tuple.
        length: How many tokens are wanted.
    """

    arrival: float
    prompt: tuple
    length: int


@dataclasses.dataclass
class Served:
    """What became of a request.

    Attributes:
        request: The request.
        tokens: What was written.
        times: When each token was there, in seconds on the clock of the arrivals.
    """

    request: Request
    tokens: list = dataclasses.field(default_factory=list)
    times: list = dataclasses.field(default_factory=list)

    @property
    def wants(self):
        """Whether tokens are missing."""
        return len(self.tokens) < self.request.length

    def add(self, token, now):
        """Notes down a token, and when it was there."""
        self.tokens.append(int(token))
        self.times.append(now)

    @property
    def first(self):
        """Time to first token, TTFT, in seconds."""
        return self.times[0] - self.request.arrival

    @property
    def each(self):
        """Time per output token after the first, TPOT, in seconds."""
        return (self.times[-1] - self.times[0]) / max(1, len(self.times) - 1)


def arrivals(prompts, lengths, rate, seed=0):
    """Draws requests that come independently of each other: a Poisson process.

    Args:
        prompts: Sequences of token ids.
        lengths: How many tokens each of them wants.
        rate: How many come in a second, on average.
        seed: Decides when.

    Returns:
        A list of `Request`, in the order in which they come.
    """
    random = np.random.default_rng(checked_seed(seed))
    times = np.cumsum(random.exponential(1 / positive("rate", rate), len(prompts)))
    wanted = zip(times, prompts, lengths)
    return [Request(float(t), tuple(map(int, p)), int(n)) for t, p, n in wanted]


def read_chunk(model, tokens, caches, slot):
    """Reads a part of one prompt, to be compiled; returns what the model would say after each of its
    tokens, and the caches."""
    logits, caches = model.read(tokens, caches, slot)
    return tf.argmax(logits[0], -1, output_type=tf.int32), caches


def next_tokens(model, tokens, slot, before, *kept):
    """One token more in each row, to be compiled. The caches are variables: XLA changes them where
    they are."""
    shape = model.empty_caches(1, 1)
    caches = tf.nest.pack_sequence_as(shape, [part.read_value() for part in kept])
    logits, caches = model.read(tokens[:, None], caches, slot, before)
    for part, new in zip(kept, tf.nest.flatten(caches)):
        part.assign(new)
    return tf.argmax(logits[:, 0], -1, output_type=tf.int32)


def enter(model, row, shift, new, *kept):
    """Puts what one prompt left in its own caches into a row of the common ones, turned so that its
    last token lies where the last one of all others does; to be compiled."""
    for part, one in zip(kept, tf.nest.flatten(new)):
        part.assign(place(part.read_value(), tf.roll(one, shift, axis=2), row, axis=0))


class Engine:
    """A model with rows that texts enter and leave while the others go on.

    All rows write into the same slot of a ring of `context` slots, each knows how many tokens before
    it are its own, and so a text may begin at any time: continuous batching (Yu et al., 2022).

    Args:
        model: A `DecoderLM`.
        rows: How many texts are written side by side.
        prefixes: Whether the keys and values of prompts are kept, so that one which begins alike is
            not read again.
    """

    def __init__(self, model, rows, prefixes=False):
        self.model, self.rows = model, whole("rows", rows, 1, 1024)
        self.context = model.config["context"]
        whole("context", self.context, CHUNK, 2**20)
        empty = tf.nest.flatten(model.empty_caches(rows))
        self.kept = [tf.Variable(part) for part in empty]
        self.slot, self.before = 0, np.zeros(rows, np.int32)
        self.last, self.free = np.zeros(rows, np.int32), list(range(rows))
        self.prefixes = {} if prefixes else None
        self.bind()

    def bind(self):
        """Looks at the model as it is now; until the next prompt comes, its layers must stay so."""
        passes = read_chunk, enter, next_tokens
        self.run = {function: bound(self.model, function) for function in passes}

    def start(self, prompt):
        """Begins to read a prompt; returns it with what is known of it already."""
        self.bind()
        prompt = token_ids("prompt", prompt, self.model.config["vocabulary"])
        reading = Reading(prompt, self.model.empty_caches(1))
        if self.prefixes:
            known = (k for k in range(len(prompt) - 1, 0, -1) if tuple(prompt[:k]) in self.prefixes)
            reading.done = next(known, 0)
            reading.caches = self.prefixes.get(tuple(prompt[: reading.done]), reading.caches)
        return reading

    def read(self, reading):
        """Reads `CHUNK` tokens of a prompt more, in caches of its own."""
        slot = min(reading.done, self.context - CHUNK)  # the last chunk ends within the context
        part = reading.prompt[slot : slot + CHUNK]
        tokens = np.zeros((1, CHUNK), np.int32)
        tokens[0, : len(part)] = part
        state = tf.constant(tokens), reading.caches, tf.constant(slot)
        said, reading.caches = self.run[read_chunk](*state)
        reading.said, reading.done = int(said[len(part) - 1]), slot + len(part)
        if self.prefixes is not None and len(part) == CHUNK:
            self.prefixes[tuple(reading.prompt[: reading.done])] = reading.caches

    def enter(self, reading):
        """Gives a prompt that was read a row; returns the row."""
        row, length = self.free.pop(), len(reading.prompt)
        shift = (self.slot - length) % self.context
        self.run[enter](tf.constant(row), tf.constant(shift), reading.caches, *self.kept)
        self.before[row], self.last[row] = length, reading.said
        return row

    def step(self):
        """Writes one more token in each row; returns them, `(rows,)`."""
        state = tf.constant(self.last), tf.constant(self.slot), tf.constant(self.before)
        self.last = self.run[next_tokens](*state, *self.kept).numpy()
        self.slot = (self.slot + 1) % self.context
        self.before = np.minimum(self.before + 1, self.context - 1)
        return self.last

    def leave(self, row):
        """Frees a row."""
        self.free.append(row)


@dataclasses.dataclass
class Reading:
    """A prompt that is being read: its tokens, its caches, how many are done, what comes next."""

    prompt: np.ndarray
    caches: tuple
    done: int = 0
    said: int = -1


def timed(function, *args):
    """Calls a function; returns what it returned, and the seconds."""
    begun = time.perf_counter()
    value = function(*args)
    return value, time.perf_counter() - begun


def serve(engine, requests, policy="continuous", chunks=None, clock=timed):
    """Serves requests.

    Args:
        engine: An `Engine`, all of whose rows are free.
        requests: As `arrivals` makes them.
        policy: `"continuous"`: a request takes a row as soon as one is free. `"static"`: requests
            are taken together when no row is taken, and all leave when the last is ready.
        chunks: How many chunks of prompts are read between two tokens of the others: chunked
            prefill (Agrawal et al., 2023). All that there are if left out.
        clock: Calls a function and says how long it took; a model of the costs in a simulation.

    Returns:
        A list of `Served`, in the order of the requests.

    Raises:
        ValueError: If a prompt is empty, or too long for what it wants, or a row is taken.
    """
    one_of("policy", policy, ("continuous", "static"))
    chunks = 2**31 if chunks is None else whole("chunks", chunks, 1, 2**31)
    if len(engine.free) < engine.rows:
        raise ValueError(
            f"all {engine.rows} rows of the engine must be free, {len(engine.free)} are"
        )
    for request in requests:
        whole("prompt length", len(request.prompt), 1, engine.context - 1)
        whole("length", request.length, 1, engine.context - len(request.prompt))
    served = [Served(request) for request in requests]
    turn = Turn(engine, served, clock, together=policy == "static")
    while turn.coming or turn.reading or turn.writing:
        turn.admit()
        turn.read(chunks)
        turn.write()
        turn.release()
    return served


class Turn:
    """One turn of serving after the other, and who is where in it.

    Attributes:
        coming: Who has no row yet.
        reading: Whose prompt is being read.
        writing: Who writes, by row.
        now: The clock, in seconds.
    """

    def __init__(self, engine, served, clock, together):
        self.engine, self.clock, self.together = engine, clock, together
        self.coming, self.reading = collections.deque(served), collections.deque()
        self.writing, self.now = {}, 0.0

    def spend(self, function, *args):
        """Calls a function, and lets the clock go on by what it took."""
        value, seconds = self.clock(function, *args)
        self.now += seconds
        return value

    def admit(self):
        """Gives free rows to those who have come; where nothing else is to be done, time passes."""
        if not self.reading and not self.writing:
            self.now = max(self.now, self.coming[0].request.arrival)
        elif self.together:
            return
        open_rows = len(self.engine.free) - len(self.reading)
        while self.coming and open_rows and self.coming[0].request.arrival <= self.now:
            one = self.coming.popleft()
            self.reading.append((one, self.engine.start(one.request.prompt)))
            open_rows -= 1

    def read(self, chunks):
        """Reads so many chunks of prompts; after its last one a prompt has its first token."""
        for _ in range(chunks):
            if not self.reading:
                return
            one, prompt = self.reading[0]
            self.spend(self.engine.read, prompt)
            if prompt.done >= len(prompt.prompt):
                self.reading.popleft()
                self.writing[self.spend(self.engine.enter, prompt)] = one
                one.add(prompt.said, self.now)

    def write(self):
        """Writes a token for everybody who wants one more."""
        wanting = {row: one for row, one in self.writing.items() if one.wants}
        if wanting and not (self.together and self.reading):
            tokens = self.spend(self.engine.step)
            for row, one in wanting.items():
                one.add(tokens[row], self.now)

    def release(self):
        """Frees the rows of those who are done; of those taken together, when all are."""
        done = [row for row, one in self.writing.items() if not one.wants]
        if not self.together or len(done) == len(self.writing):
            for row in done:
                del self.writing[row]
                self.engine.leave(row)


class Rehearsal:
    """An engine that computes nothing: it only keeps rows, for a simulation of the clock.

    Args:
        context, rows: As the real one has them.
    """

    def __init__(self, context, rows):
        self.context, self.rows, self.free = context, rows, list(range(rows))

    def start(self, prompt):
        return Reading(np.asarray(prompt), ())

    def read(self, reading):
        reading.done += CHUNK

    def enter(self, reading):
        return self.free.pop()

    def step(self):
        return np.zeros(self.rows, np.int32)

    def leave(self, row):
        self.free.append(row)


def costs(engine, rounds=15):
    """Measures how long each pass of an engine takes: the median of some, in seconds by name."""
    prompt, found = [1] * CHUNK, collections.defaultdict(list)
    for _ in range(rounds + 2):
        reading = engine.start(prompt)
        found["read"].append(timed(engine.read, reading)[1])
        row, seconds = timed(engine.enter, reading)
        found["enter"].append(seconds)
        found["step"].append(timed(engine.step)[1])
        engine.leave(row)
    return {name: float(np.median(seconds[2:])) for name, seconds in found.items()}


def rehearse(requests, costs, rows, context, policy="continuous", chunks=None):
    """Serves requests with the costs of passes in the place of the passes: a simulation.

    Args:
        requests, policy, chunks: As `serve` takes them.
        costs: As `costs` measures them.
        rows, context: Of the engine that it stands for.

    Returns:
        As `serve`; the tokens mean nothing.
    """

    def clock(function, *args):
        return function(*args), costs[function.__name__]

    return serve(Rehearsal(context, rows), requests, policy, chunks, clock)


@dataclasses.dataclass(frozen=True)
class Report:
    """What a number of requests experienced; times in seconds.

    Attributes:
        first: TTFT, the median and the 99th percentile.
        each: TPOT, likewise.
        between: Between two tokens of one answer, likewise.
        throughput: Tokens a second, from the first arrival to the last token.
        goodput: Requests a second, over the same time, that were served within the limits.
        within: The share of requests that were.
    """

    first: tuple
    each: tuple
    between: tuple
    throughput: float
    goodput: float
    within: float


def report(served, first_limit, each_limit):
    """Sums up what requests experienced.

    Args:
        served: As `serve` returns them.
        first_limit: The longest time to the first token that is still good, in seconds.
        each_limit: The longest time per token after it.

    Returns:
        A `Report`.
    """

    def percentiles(values):
        return tuple(float(value) for value in np.percentile(values, (50, 99)))

    if not served:
        raise ValueError("served must hold at least one request, got none")
    first_limit, each_limit = (
        positive("first_limit", first_limit),
        positive("each_limit", each_limit),
    )
    gaps = np.concatenate([np.diff(one.times) for one in served])
    good = [one.first <= first_limit and one.each <= each_limit for one in served]
    seconds = max(one.times[-1] for one in served) - served[0].request.arrival
    return Report(
        first=percentiles([one.first for one in served]),
        each=percentiles([one.each for one in served]),
        between=percentiles(gaps) if gaps.size else (0.0, 0.0),
        throughput=sum(len(one.tokens) for one in served) / seconds,
        goodput=sum(good) / seconds,
        within=float(np.mean(good)),
    )
