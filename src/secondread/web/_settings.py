"""What can be set about the server: rows of name, default and help, each also an environment variable."""

from collections.abc import Mapping
from dataclasses import dataclass

from secondread.errors import UsageError

Value = int | str


@dataclass(frozen=True)
class Setting:
    """One thing that can be set. The type of `default` is the type of the value; numbers are at least 1."""

    name: str
    default: Value
    help: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"SECONDREAD_{self.name.upper()}"

    @property
    def key(self) -> str:
        """Its key in the application's configuration."""
        return self.name.upper()

    def parse(self, text: str) -> Value:
        """The value written in an environment variable. Raises UsageError."""
        if isinstance(self.default, str):
            return text
        try:
            value = int(text)
        except ValueError:
            value = 0
        if value < 1:
            raise UsageError(f"{self.variable} is '{text}'; give a whole number from 1, or unset it for {self.default}")
        return value


SETTINGS = (
    Setting("max_file_mb", 200, "largest file that is read, in MB; a larger one is refused, the others are read"),
    Setting("max_body_mb", 400, "largest request, in MB; a larger one is refused as a whole with status 413"),
    Setting("max_files", 32, "most files in one request"),
    Setting("max_megapixels", 64, "largest image that is decoded, in millions of pixels of one frame"),
    Setting("threads", 6, "requests served at once; readings among them are bounded by parallel_readings"),
    Setting("parallel_readings", 2, "images decoded and read at once; bounds the memory and suits two cores"),
    Setting("gate", "on", "'off' reads even what looks unlike anything learnt from; for research"),
    Setting("preview_pixels", 1024, "longest side of the preview sent with a reading"),
    Setting("heatmap_pixels", 512, "longest side of the heat map sent with a reading"),
    Setting(
        "hosts", "", "names, separated by commas, under which the server is reached besides localhost and IP addresses"
    ),
)


def settings_from(environ: Mapping[str, str]) -> dict[str, Value]:
    """Every setting by its configuration key: from the environment where set there, else its default."""
    return {row.key: row.parse(environ[row.variable]) if row.variable in environ else row.default for row in SETTINGS}
