"""Sounds on a page: a player for each, with words beside it for those who do not hear it."""

import base64
import html
import io
import wave

import numpy as np

from course_utils.checks import finite

RATE = 8000  # samples a second


def wav(sound):
    """Returns a sound at 8 kHz as a WAV file of 16 bits, as loud as it can be.

    Args:
        sound: Floats `(samples,)`.
    """
    sound = finite("sound", sound)
    codes = np.rint(sound / max(np.abs(sound).max(), 1e-6) * 0.9 * 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(codes.tobytes())
    return file.getvalue()


def player(sound, said):
    """Returns HTML that plays a sound.

    Args:
        sound: Floats `(samples,)` at 8 kHz.
        said: What one hears, in a few words that stand beside the player.
    """
    said, data = html.escape(said), base64.b64encode(wav(sound)).decode()
    return (
        '<div class="course-sound" style="display: inline-block; margin: 0.3em 1em 0.3em 0">'
        f'<div>{said}</div><audio controls preload="metadata" aria-label="{said}" '
        f'style="height: 2.2em; width: 15em" src="data:audio/wav;base64,{data}"></audio></div>'
    )


class Sounds:
    """Players side by side, for the end of a cell.

    Args:
        sounds: By what one hears, a sound: floats `(samples,)` at 8 kHz.
    """

    def __init__(self, sounds):
        self.sounds = dict(sounds)

    def __repr__(self):
        return "\n".join(f"sound: {said}" for said in self.sounds)

    def _repr_html_(self):
        return f"<div>{''.join(player(sound, said) for said, sound in self.sounds.items())}</div>"
