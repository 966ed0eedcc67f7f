#!/bin/sh
# Installs secondread for one person on a Linux desktop: one visible folder, one shortcut, no administrator.
#
#   sh deploy/install.sh                     from a checkout, or from a wheel that lies beside this file
#   sh install.sh --wheel secondread-….whl   from that wheel
#   sh install.sh --folder DIR               into DIR in place of ~/secondread
#   sh install.sh --uninstall                takes program and shortcut away; the data stays
#   sh install.sh --uninstall --with-data    takes the data away too: images and readings are gone for good
#
# Run it again to bring a newer version in: the data stays as it is, and the server upgrades it when it starts.
set -eu

folder=${HOME:?}/secondread
wheel=
uninstall=
with_data=
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

say() { printf '%s\n' "$*"; }
fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

while [ $# -gt 0 ]; do
  case $1 in
    --wheel | --folder)
      [ $# -ge 2 ] || fail "$1 needs a value; see the first lines of this file"
      if [ "$1" = --wheel ]; then wheel=$2; else folder=$2; fi
      shift
      ;;
    --uninstall) uninstall=1 ;;
    --with-data) with_data=1 ;;
    -h | --help)
      sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) fail "unknown option $1; try --help" ;;
  esac
  shift
done

case $folder in
  /*) ;;
  *) folder=$(pwd)/$folder ;;
esac
case $folder in
  *[\"\\\`\$\'%]* | *"
"*) fail "the folder's name holds a sign that a shortcut cannot hold: choose another with --folder" ;;
esac
program=$folder/program
data=$folder/data
start=$folder/start.sh
applications=${XDG_DATA_HOME:-$HOME/.local/share}/applications
desktop=$(xdg-user-dir DESKTOP 2>/dev/null || true)
[ -n "$desktop" ] || desktop=$HOME/Desktop

remove_shortcuts() {
  rm -f "$applications/secondread.desktop"
  if [ "$desktop" != "$HOME" ]; then rm -f "$desktop/secondread.desktop"; fi
}

if [ -n "$uninstall" ]; then
  if [ -x "$start" ]; then "$start" --stop || true; fi
  remove_shortcuts
  rm -rf "$program"
  rm -f "$start" "$folder/server.log"
  if [ -n "$with_data" ]; then
    rm -rf "$data"
    rmdir "$folder" 2>/dev/null || true
    say "secondread is gone, and its data with it."
  else
    say "secondread is gone. Its data stays in $data; delete that folder, or run this with --with-data, to lose it for good."
  fi
  exit 0
fi

[ "$(uname -s)" = Linux ] || fail "this is for Linux; on macOS install with pip and run 'secondread serve', on Windows do so in the Subsystem for Linux"

python=
for name in python3.13 python3.12 python3.11 python3; do
  if command -v "$name" >/dev/null 2>&1 && "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$name
    break
  fi
done
[ -n "$python" ] || fail "Python 3.11 or newer with venv is needed; on Debian and Ubuntu: sudo apt install python3 python3-venv"

if [ -z "$wheel" ]; then
  for name in "$here"/secondread-*.whl; do
    if [ -f "$name" ]; then wheel=$name; fi # the last, which is the newest of most
  done
fi
if [ -n "$wheel" ]; then
  [ -f "$wheel" ] || fail "there is no wheel '$wheel'"
  what=$wheel
elif [ -f "$here/../pyproject.toml" ]; then
  what=$(CDPATH='' cd -- "$here/.." && pwd)
else
  fail "nothing to install: put the wheel secondread-….whl beside this file, or name it with --wheel"
fi

say "Installing $what into $folder …"
mkdir -p "$data" "$applications"
chmod 700 "$data"
if ! "$program/bin/python" -c 'import pip' 2>/dev/null; then
  rm -rf "$program"
  "$python" -m venv "$program"
fi
lock=$here/../requirements/serve.lock
if [ -f "$lock" ]; then # every file by its hash
  "$program/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement "$lock"
  "$program/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$what"
else
  "$program/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "$what"
fi
"$program/bin/secondread" --version

cat >"$start.new" <<'START'
#!/bin/sh
# Starts secondread, unless it runs already, and opens its page. --stop ends it; --no-browser only starts it.
set -eu
folder=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
export SECONDREAD_DATA_FOLDER="$folder/data"
pid_file=$folder/data/server.pid
port_file=$folder/data/server.port

# Whether the server of this folder runs: a number may have been given to another program meanwhile.
ours() { [ -f "$pid_file" ] && grep -qaF "$folder/program/" "/proc/$(cat "$pid_file")/cmdline" 2>/dev/null; }
answers() {
  "$folder/program/bin/python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "healthz", timeout=2)' "$page" 2>/dev/null
}

if [ "${1:-}" = --stop ]; then
  if ours; then kill "$(cat "$pid_file")"; fi
  tries=0
  while ours && [ "$tries" -lt 30 ]; do # it finishes the image at hand
    tries=$((tries + 1))
    sleep 1
  done
  rm -f "$pid_file" "$port_file"
  exit 0
fi
port=${PORT:-8000}
if ours && [ -f "$port_file" ]; then
  running=$(cat "$port_file")
  if [ "${PORT:-$running}" != "$running" ]; then
    echo "secondread runs already at http://127.0.0.1:$running/ and not at port $PORT; to move it: $0 --stop, then again" >&2
    exit 1
  fi
  port=$running
fi
page=http://127.0.0.1:$port/
if ! { ours && answers; }; then
  if ! ours && answers; then
    echo "something else answers at $page; choose another port: PORT=$((port + 1)) $0" >&2
    exit 1
  fi
  if ! ours; then
    nohup "$folder/program/bin/secondread" serve --port "$port" >"$folder/server.log" 2>&1 &
    echo $! >"$pid_file"
    echo "$port" >"$port_file"
  fi
  tries=0
  until answers; do
    tries=$((tries + 1))
    if [ "$tries" -gt 120 ] || { [ "$tries" -gt 1 ] && ! ours; }; then
      echo "secondread did not start; $folder/server.log says why" >&2
      tail -n 5 "$folder/server.log" >&2
      exit 1
    fi
    sleep 1
  done
fi
echo "secondread runs at $page; its data is in $folder/data"
if [ "${1:-}" != --no-browser ]; then
  xdg-open "$page" >/dev/null 2>&1 || "$folder/program/bin/python" -m webbrowser "$page" >/dev/null
fi
START
chmod 755 "$start.new"
mv "$start.new" "$start"

icon=$("$program/bin/python" -c 'from importlib.resources import files; print(files("secondread.web") / "static" / "icon.svg")')
cat >"$applications/secondread.desktop.new" <<SHORTCUT
[Desktop Entry]
Type=Application
Name=secondread
Comment=A second reader for medical images; it is no medical device
Comment[hi]=चिकित्सा छवियों का दूसरा पाठक; यह चिकित्सा उपकरण नहीं है
Exec="$start"
Icon=$icon
Terminal=false
Categories=MedicalSoftware;Science;
SHORTCUT
mv "$applications/secondread.desktop.new" "$applications/secondread.desktop"
if [ -d "$desktop" ] && [ "$desktop" != "$HOME" ]; then
  cp "$applications/secondread.desktop" "$desktop/secondread.desktop"
  chmod 755 "$desktop/secondread.desktop"
  gio set "$desktop/secondread.desktop" metadata::trusted true 2>/dev/null || true
fi

say "Done. Start it with the shortcut called secondread, or with: $start"
say "Your images and readings are kept in $data: back that folder up."
