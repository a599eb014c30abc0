"""torchaudio for tasks, also where its compiled extension cannot be loaded."""

from stillhouse.core.torchaudio_shim import torchaudio as torchaudio
