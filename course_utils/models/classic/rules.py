"""Rules written by hand, as a model of text."""

import collections

import numpy as np

from course_utils.backend import tf

RULES = """
<end>         | Returns | Return the | Compute the | Computes | A | The | Base class for
Parameters⏎   | ----------⏎
Returns⏎      | -------⏎
Examples⏎     | --------⏎
Notes⏎        | -----⏎
See Also⏎     | --------⏎
References⏎   | ----------⏎
Raises⏎       | ------⏎
Attributes⏎   | ----------⏎
Args:⏎        |    ␣
Returns:⏎     |    ␣
Raises:⏎      |    ␣
Example:⏎     | ⏎>>>
⏎⏎            | Parameters⏎ | Returns⏎ | Examples⏎ | Args:⏎ | Returns:⏎ | Notes⏎ | >>> | The | This | If
⏎--------⏎    | >>>
⏎>>           | >
>>>           | ␣import numpy as np⏎ | ␣x = np. | ␣y =
import        | ␣numpy as np⏎ | ␣matplotlib.pyplot as plt⏎
numpy         | ␣as np⏎ | .array
np.           | array([ | zeros( | ones(
␣:            | ␣int | ␣float | ␣array | ␣bool | ␣str | ␣{
int           | , optional⏎ | ␣or | ⏎
float         | , optional⏎ | ␣or | ⏎
bool          | , optional⏎ | , default | ⏎
optional      | ⏎
default       | : None | ␣is | =None | =True | =False
array         | _like | ␣of | s | ,
shape         | ␣( | =( | ␣of
shape (       | n_samples, | n_features,
n_            | samples | features | jobs
whether       | ␣to
If            | ␣True, | ␣None, | ␣the | ␣not
␣of           | ␣the | ␣a
␣in           | ␣the | ␣a
␣on           | ␣the
␣to           | ␣the | ␣be | ␣compute
␣by           | ␣the
␣for          | ␣the | ␣each
␣from         | ␣the
␣with         | ␣the | ␣a
␣is           | ␣the | ␣a | ␣not | ␣used
␣be           | ␣used
␣the          | ␣input | ␣array | ␣function | ␣shape | ␣number of | ␣same | ␣output | ␣values | ␣default
The           | ␣number of | ␣input | ␣output | ␣shape | ␣function
number        | ␣of
same          | ␣shape as | ␣as
See           | ␣also
e.g           | .
,             | ␣
.             | ⏎ | ␣The
:             | ⏎ | ␣
"""
LEXICON = """about algorithm all also array arrays attribute attributes available axes axis based batch between boolean
boundary called class classes coefficients column columns compute computed computes contains coordinates corresponding
data dataset default defaults defined dimension dimensions distribution documentation elements error estimator
example examples existing false features figure first float following format from function functions gradient
image index indices initial input inputs integer integers interface interval iteration kernel label labels layer
length linear list matrix maximum mean method methods minimum model module name names None number object objects only
operation optional order other output outputs parameter parameters point points predict probability random range
reference regression represents required result results return returned returns samples scalar second sequence
shape should single size solution sparse specified standard string structure supported target tensor tensors
training transform True tuple type values variable variance vector version weight weights when where whether which
will with"""


class Rules:
    """Writes by hand-made rules: where the text ends in this, one of these comes next.

    The longest rule that fits decides, also in the middle of what it says, and words of a lexicon
    are spelled to their end. To have a perplexity at all a model must think nothing impossible, so
    a share of each prediction goes to a guess by eye: small letters and spaces before marks, marks
    before the rest.

    Args:
        tokenizer: A `tokenizers.Tokenizer`.
        trust: Share that goes to what the rules say.
        rules: One a line, as in `RULES`; ⏎ is a new line and ␣ a space.
        lexicon: Words to spell.

    Call arguments:
        tokens: `int32` of shape `(batch, time)`, of any length.

    Returns:
        Logits of shape `(batch, time, vocabulary)`; here they are log-probabilities.
    """

    def __init__(self, tokenizer, trust, rules=RULES, lexicon=LEXICON):
        vocabulary = tokenizer.get_vocab_size()
        self.pieces = [tokenizer.decode([i], skip_special_tokens=False) for i in range(vocabulary)]
        said = collections.defaultdict(
            lambda: np.zeros(vocabulary)
        )  # by the end of a text: how often a token is said to follow
        for before, *afters in [
            *spelled_out(rules),
            *(("", " " + word) for word in lexicon.split()),
        ]:
            for after in afters:
                tokens = tokenizer.encode(after).ids
                for place in range(len(tokens)):
                    ending = before + "".join(self.pieces[token] for token in tokens[:place])
                    if ending.strip(" "):  # no rule begins after nothing
                        said[ending][tokens[place]] += 1
        guess = np.array([by_eye(piece) for piece in self.pieces], float)
        self.rows = {ending: row for row, ending in enumerate(["", *said])}
        self.longest = max(map(len, self.rows))
        told = np.array([guess, *said.values()])
        told /= told.sum(axis=1, keepdims=True)
        self.table = tf.constant(np.log(trust * told + (1 - trust) * told[0]), tf.float32)

    def __call__(self, tokens):
        return tf.gather(self.table, [self.rows_of(line) for line in np.asarray(tokens)])

    def rows_of(self, line):
        """Returns, after each token of a line, the row of the longest rule that fits the text so
        far."""
        text, found = "", []
        for token in line:
            text = (text + self.pieces[token])[-self.longest :]
            ends = (
                text[start:] for start in range(len(text) + 1)
            )  # the longest first, the empty one last
            found.append(next(self.rows[end] for end in ends if end in self.rows))
        return found


def spelled_out(rules):
    """Returns each rule as a list of texts: the end it waits for, then what may come next."""
    return [
        [
            part.strip().replace("⏎", "\n").replace("␣", " ").replace("<end>", "<|end|>")
            for part in line.split("|")
        ]
        for line in rules.strip().split("\n")
    ]


def by_eye(piece):
    """Returns how likely a piece of text looks to somebody who knows docstrings."""
    if piece.strip().islower() or piece == " ":
        return 10
    return 5 if piece in ".,:()`_='\n" or piece.isspace() else 1
