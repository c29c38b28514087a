#!/usr/bin/env bash
# djafs at work, on real documents, in a directory that goes away in the end: mount a store, bring
# documents in, pack, see what that costs, look back in time, validate, unmount.
#
# Needs djafs on PATH (make demo sees to that), fuse3, rsync, zstd and jq; runs as root or not.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

for program in djafs fusermount3 rsync zstd jq; do
    command -v "$program" >/dev/null || {
        echo "demo: $program is missing (make demo installs what is needed)" >&2
        exit 1
    }
done

if [ -t 1 ]; then
    strong=$(printf '\033[1m') plain=$(printf '\033[0m')
else
    strong='' plain=''
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/djafs-demo.XXXXXX")

# Whatever happens: no mount, no daemon, no files are left.
clean_up() {
    local status=$?
    trap - EXIT
    cd /
    if grep -q " $work/mnt fuse" /proc/self/mounts; then
        djafs umount "$work/mnt" || fusermount3 -uz "$work/mnt" || true
    fi
    rm -rf --one-file-system -- "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

title() { printf '\n%s%s%s\n\n' "$strong" "$*" "$plain"; }

# Show a command line as one would type it, and run it.
run() {
    printf '%s$ %s%s\n' "$strong" "$1" "$plain"
    bash -c "set -o pipefail; $1"
}

cd "$work"
mkdir documents mnt
zstd -dcq "$here/documents.tar.zst" | tar -C documents -xf -

title "1. A new store, and a filesystem that shows it"
run "djafs mount store mnt"
run "ls mnt"

title "2. Documents come in through the mount, with the times at which they were written"
echo "First the answers of a REST service, of several years:"
run "rsync -a documents/pokeapi mnt/live/"
echo
echo "Then exchange rates as published day by day. Each day rewrites the same files:"
run "for day in 20 21 22 23 24 25; do rsync -a documents/rates/2026-09-\$day/ mnt/live/rates/; done"
run "djafs count mnt/live"

title "3. Pack (the daemon does it by itself as well, every 30 seconds)"
run "djafs gc mnt"

title "4. What it costs on disk"
# kib PATH...: what these take on disk; row NAME KIB: a line of the table.
kib() { du -skc "$@" | tail -1 | cut -f1; }
row() { printf '  %-36s %7d KiB %5d %%\n' "$1" "$2" $((100 * $2 / source_size)); }
source_size=$(kib documents)
row "source: $(find documents -type f | wc -l) documents, as files" "$source_size"
row "store" "$(kib --exclude=reserve store)"
row "  archives (the content)" "$(kib store/archives)"
row "  lookup log (names, times, history)" "$(kib store/lookups)"
row "  index (can be rebuilt)" "$(kib store/index.sqlite*)"
if [ -e store/reserve ]; then
    printf '\n  Beside that, %d KiB are kept in reserve for a full disk, whatever the size of the store.\n' \
        "$(kib store/reserve)"
fi

title "5. What the store looks like: nothing in it needs djafs to be read"
run "find store -type f -printf '%P\t%s bytes\n' | sort | column -t -s \$'\t'"
run "tar --zstd -tvf store/archives/00000001.tar.zst | sed -n '1,3p;\$p'"
run "jq -c '{members, content_bytes, compressed_bytes, oldest, newest}' store/archives/00000001.djfm"

title "6. Look back in time"
run "ls -x mnt/snapshots mnt/snapshots/2026/09"
run "ls mnt/snapshots/2026/09/21/rates/currencies | head -6 | tr '\n' ' '; echo …"
echo
echo "What a dollar was worth, on the 21st and now:"
run "jq -c '[.date, .usd.eur]' mnt/snapshots/2026/09/21/rates/currencies/usd.json"
run "jq -c '[.date, .usd.eur]' mnt/live/rates/currencies/usd.json"
echo
echo "A day in full is the directory that was brought in, byte for byte:"
run "diff -r documents/rates/2026-09-21 mnt/snapshots/2026/09/21/rates && echo same"
echo
echo "Documents show from the day on which they were written, not from that of the migration:"
run "djafs count mnt/snapshots/2020/06/30; djafs count mnt/snapshots/2023/06/30; djafs count mnt/snapshots/latest"

title "7. Check every byte"
run "djafs validate -v -p store"

title "8. Unmount: the store is clean, and can be copied or moved"
run "djafs umount mnt"
run "ls store"
