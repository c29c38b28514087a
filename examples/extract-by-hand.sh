#!/usr/bin/env bash
# Get the live documents of a djafs store back, byte for byte and under their names, without djafs:
# with bash, coreutils, grep, sed, zstd and jq. The store is only read; its index is not needed.
#
#     extract-by-hand.sh STORE TARGET
#
# docs/recovery-by-hand.md explains each step, and says what is not covered.
set -euo pipefail
export LC_ALL=C

if [ $# -ne 2 ] || [ ! -e "$1/djafs.json" ]; then
    echo "usage: extract-by-hand.sh STORE TARGET (STORE has a djafs.json; TARGET is new or empty)" >&2
    exit 16
fi
mkdir -p "$2"
store=$(cd "$1" && pwd) target=$(cd "$2" && pwd)
if [ -n "$(ls -A "$target")" ]; then
    echo "extract-by-hand: $target is not empty" >&2
    exit 16
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# numbers SUFFIX: the numbers of the files in lookups/ that are named so, ascending.
numbers() {
    find "$store/lookups" -name "*.$1" | sed -nE "s|.*/([0-9]{8,})\.$1$|\1|p" | sort -n
}

# The newest checkpoint, if there is one, and the segments of the lookup log behind it. A last line
# that a crash has cut off is left out. Times become strings: they have more digits than jq's numbers
# keep.
read_log() {
    local checkpoint number
    checkpoint=$(numbers djfc.zst | tail -1)
    {
        if [ -n "$checkpoint" ]; then zstd -dcq "$store/lookups/$checkpoint.djfc.zst"; fi
        { numbers djfl && numbers djfl.zst; } | sort -nu | while read -r number; do
            if [ "$((10#$number))" -le "$((10#${checkpoint:-0}))" ]; then
                continue
            elif [ -e "$store/lookups/$number.djfl" ]; then
                cat "$store/lookups/$number.djfl"
            else
                zstd -dcq "$store/lookups/$number.djfl.zst"
            fi
        done
    } | grep -a '^{.*}$' | sed -E 's/,"(t|mtime|atime)":(-?[0-9]+)/,"\1":"\2"/g'
}

# What the log leads to, as lines with tabs between fields. Text is %-escaped.
#   dir   PATH MODE UID GID MTIME                       "." is live/ itself
#   file  PATH MODE UID GID MTIME SIZE
#   run   hot|archive NUMBER AT LENGTH PATH OFFSET      bytes of that file
#   name  PATH PATH                                     a further name of that file
#   link  PATH TARGET
#   other PATH MODE                                     a device, socket or pipe
#   odd   OP                                            a record that is not known here
#
# Extents are [offset in the file, length, hot segment or 0, at, content]. The state is one flat
# object: i<inode>, d<directory>/<name>, p<directory> (its place), c<content>. jq changes it in place
# as long as nothing else refers to it; what leaves a choice open, as // does, stands in [] therefore.
replay() {
    jq -nr '
def part: 16777216;
def clip($start; $limit):
  . as [$offset, $length, $segment, $at, $cid]
  | ([$offset, $start] | max) as $begin | ([$offset + $length, $limit] | min) as $until
  | [$begin, $until - $begin, $segment, $at + $begin - $offset, $cid];
def within($start; $limit):
  [.[] | select(.[0] < $limit and .[0] + .[1] > $start) | clip($start; $limit)];
def without($start; $limit):
  if $start >= $limit then . else
    [.[] | if .[0] >= $limit or .[0] + .[1] <= $start then . else
      (select(.[0] < $start) | clip(0; $start)),
      (select(.[0] + .[1] > $limit) | clip($limit; 4e18))
    end]
  end;
def place($run):
  if length == 0 or .[-1][0] + .[-1][1] <= $run[0] then . + [$run]
  else without($run[0]; $run[0] + $run[1]) + [$run] | sort end;
def joined:
  reduce .[] as $run ([];
    if length > 0 and .[-1][2] == 0 and $run[2] == 0 and .[-1][4] == $run[4]
      and .[-1][0] + .[-1][1] == $run[0] and .[-1][3] + .[-1][1] == $run[3]
    then .[-1][1] += $run[1] else . + [$run] end);
# The pieces of a hot extent that a cutting record "pack" moves, and the rest of it.
def pieces($r):
  . as [$offset, $length, $segment, $at] | [$r.src[] | select(.[1] == $segment)] as $ranges
  | [0, $length, ($ranges[] | .[2] - $at, .[2] + .[3] - $at)] | map(select(. >= 0 and . <= $length))
  | unique | range(length - 1) as $i | .[$i] as $from | (.[$i + 1] - $from) as $size
  | [$ranges[] | select(.[2] <= $at + $from and $at + $from + $size <= .[2] + .[3])] as $moved
  | if $moved == [] then [$offset + $from, $size, $segment, $at + $from, 0]
    else [$offset + $from, $size, 0, $moved[0][0] + $at + $from - $moved[0][2], $r.cid] end;
def run($number):
  [.[0] + $number * part, .[1], .[2], .[3], if .[2] > 0 then 0 else .[4] end];
def is($type): (.mode / 4096 | floor) == $type;

def apply($r):
  def touch($ino): .["i\($ino)"] as $i | if $i then .["i\($ino)"] = ($i | .mtime = $r.t) else . end;
  def bind($dir; $name; $ino; $quietly):
    .["d\($dir)/\($name)"] = [$ino, $dir, $name]
    | .["i\($ino)"] as $i | if $i | is(4) then .["p\($ino)"] = [$dir, $name] else . end
    | if $quietly then . else touch($dir) end;
  def row($r):
    if $r.row == "inode" then
      ([$r | {mode, uid, gid, size, mtime, target, runs: (.extents // [] | map(run(0)))}] | .[0]) as $new
      | .["i\($r.ino)"] = $new
    elif $r.row == "part" then
      .["i\($r.ino)"] as $i
      | ([$i | .runs += ($r.extents | map(run($r.part)))] | .[0]) as $new | .["i\($r.ino)"] = $new
    elif $r.row == "dentry" then bind($r.parent; $r.name; $r.ino; true)
    elif $r.row == "content" then .["c\($r.cid)"] = [$r.archive, $r.at]
    else . end;
  def unbind($dir; $name): del(.["d\($dir)/\($name)"]) | touch($dir);
  def change(f):
    .["i\($r.ino)"] as $i | if $i then ([$i | f] | .[0]) as $new | .["i\($r.ino)"] = $new else . end;
  if $r.row then row($r)
  elif $r.op == "create" then
    ([{mode: $r.mode, uid: $r.uid, gid: $r.gid, size: 0, mtime: ($r.mtime // $r.t), runs: [],
        target: $r.target}] | .[0]) as $new
    | .["i\($r.ino)"] = $new | if $r.name == "" then . else bind($r.dir; $r.name; $r.ino; $r.mtime != null) end
  elif $r.op == "file" then
    ([{mode: $r.mode, uid: $r.uid, gid: $r.gid, size: $r.size, mtime: $r.mtime,
        runs: [($r.parts // [$r.cid // 0]) | to_entries[] | select(.value > 0) | (.key * part) as $begin
          | [$begin, ([$r.size - $begin, part] | min), 0, 0, .value]]}] | .[0]) as $new
    | .["i\($r.ino)"] = $new
    | if $r.sha256 then .["c\($r.cid)"] = [$r.arc, $r.at] else . end
    | bind($r.dir; $r.name; $r.ino; true)
  elif $r.op == "write" then change(
    .mtime = $r.t | .size = ([.size, $r.off + $r.len] | max) | .mode = ($r.mode // .mode)
    | .runs |= place([$r.off, $r.len, $r.seg, $r.at, 0]))
  elif $r.op == "setattr" then change(
    .mode = ($r.mode // .mode) | .uid = ($r.uid // .uid) | .gid = ($r.gid // .gid)
    | if $r.size then .runs |= without($r.size; 4e18) | .size = $r.size | .mtime = $r.t else . end
    | .mtime = ($r.mtime // .mtime))
  elif $r.op == "punch" then change(
    .mtime = $r.t | .runs |= without($r.off; $r.off + $r.len) | .size = $r.size)
  elif $r.op == "clone" then
    ([.["i\($r.src)"].runs // []] | .[0] | within($r.off; $r.off + $r.len)
      | map(.[0] += $r.to - $r.off)) as $taken
    | change(.mtime = $r.t | .size = ([.size, $r.to + $r.len] | max)
      | .runs |= (without($r.to; $r.to + $r.len) + $taken | sort))
  elif $r.op == "link" then bind($r.dir; $r.name; $r.ino; $r.brought == true)
  elif $r.op == "unlink" and $r.effective then del(.["d\($r.dir)/\($r.name)"])
  elif $r.op == "unlink" or $r.op == "rmdir" then unbind($r.dir; $r.name)
  elif $r.op == "rename" then
    .["d\($r.dir)/\($r.name)"] as [$ino] | .["d\($r.to)/\($r.as)"] as $other
    | unbind($r.dir; $r.name) | bind($r.to; $r.as; $ino; false)
    | if $r.exchange then bind($r.dir; $r.name; $other[0]; false) else . end
  elif $r.op == "content" then .["c\($r.cid)"] = [$r.arc, $r.at]
  elif $r.op == "move" then .["c\($r.cid)"] = [$r.arc, $r.at]
  elif $r.op == "forget" then del(.["c\($r.cid)"])
  elif $r.op == "pack" then
    ([($r.part // 0) * part] | .[0]) as $begin
    | change(.runs |= (without($begin; $begin + part) + (within($begin; $begin + part) | map(
        . as [$offset, $length, $segment, $at]
        | if $segment == 0 then .
          elif $r.src == null then [$offset, $length, 0, $offset - $begin, $r.cid]
          elif $r.cut then pieces($r)
          else
            (first($r.src[] | select(.[1] == $segment and .[2] <= $at and $at + $length <= .[2] + .[3]))
              // null) as $moved
            | if $moved then [$offset, $length, 0, $moved[0] + $at - $moved[2], $r.cid] else . end
          end)) | sort | joined))
  elif [$r.op] | inside(["segment", "mount", "sync", "setxattr", "archive", "drop", "sweep"]) then .
  else .["?\($r.op)"] = true end;

# NUL and two hex digits are a byte that is not UTF-8.
def escaped: @uri | split("%00") | join("%");
def path($state): . as [$dir, $name] |
  if $dir == 2 then $name else ($state["p\($dir)"] | path($state)) + "/" + $name end;

reduce inputs as $r ({}; apply($r)) | . as $state
| (keys_unsorted[] | select(startswith("?")) | ["odd", .[1:]]),
  (.i2 // empty | ["dir", ".", .mode % 4096, .uid, .gid, .mtime]),
  ([keys_unsorted[] | select(startswith("d")) | $state[.]] | group_by(.[0])[]
    | map({ino: .[0], path: (.[1:] | path($state) | escaped)}) as $names
    | $names[0].path as $path
    | $state["i\($names[0].ino)"]
    | if is(4) then ["dir", $path, .mode % 4096, .uid, .gid, .mtime]
      elif is(10) then ["link", $path, (.target | escaped)]
      elif is(8) then
        ["file", $path, .mode % 4096, .uid, .gid, .mtime, .size],
        (.runs[] | if .[2] > 0 then ["run", "hot", .[2], .[3], .[1], $path, .[0]]
          else $state["c\(.[4])"] as [$arc, $at]
            | ["run", "archive", $arc, $at + .[3], .[1], $path, .[0]] end)
      else ["other", $path, .mode] end,
      (if is(4) then empty else $names[1:][] | ["name", $path, .path] end))
| map(tostring) | join("\t")'
}

# decode VARIABLE TEXT: undo the escapes; any byte but NUL may come out.
decode() { printf -v "$1" '%b' "${2//%/\\x}"; }

# lines KIND: the fields of all lines of a kind.
lines() { sed -n "s/^$1\t//p" "$work/lines"; }

read_log | replay >"$work/lines"
lines odd | sed 's/^/extract-by-hand: records of an unknown kind were left out: /' >&2
cd "$target"

lines dir | sort | while IFS=$'\t' read -r name _; do
    decode path "$name"
    [ "$path" = . ] || mkdir -- "./$path"
done
lines file | while IFS=$'\t' read -r name _ _ _ _ size; do
    decode path "$name"
    truncate -s "$size" -- "./$path"
done

# Bytes, source by source; an archive is inflated once.
lines run | sort -t $'\t' -k1,1 -k2,2n -k3,3n >"$work/runs"
from=
while IFS=$'\t' read -r kind number at length name offset; do
    if [ "$from" != "$kind $number" ]; then
        from="$kind $number"
        printf -v file '%08d' "$number"
        if [ "$kind" = hot ]; then
            source=$store/hot/$file.log
        elif [ "$number" -gt 0 ]; then
            source=$work/tar
            zstd -dcq "$store/archives/$file.tar.zst" >"$source"
        fi
    fi
    decode path "$name"
    if [ "$kind $number" = "archive 0" ]; then
        echo "extract-by-hand: lost: $length bytes at $offset of $path; they are zeros here" >&2
        continue
    fi
    dd if="$source" of="./$path" bs=1M status=none conv=notrunc \
        iflag=skip_bytes,count_bytes oflag=seek_bytes skip="$at" count="$length" seek="$offset"
done <"$work/runs"

# attributes NAME MODE UID GID MTIME
attributes() {
    decode path "$1"
    if [ "$(id -u)" -eq 0 ]; then chown -- "$3:$4" "./$path"; fi
    chmod -- "$(printf '%o' "$2")" "./$path"
    local sign='' time=$5
    if [ "${time:0:1}" = - ]; then sign=- time=${time:1}; fi
    touch -d "$(printf '@%s%d.%09d' "$sign" $((time / 1000000000)) $((time % 1000000000)))" -- "./$path"
}
lines file | while IFS=$'\t' read -r name mode uid gid mtime _; do
    attributes "$name" "$mode" "$uid" "$gid" "$mtime"
done
lines link | while IFS=$'\t' read -r name text; do
    decode path "$name"
    decode to "$text"
    ln -s -- "$to" "./$path"
done
lines name | while IFS=$'\t' read -r name another; do
    decode path "$name"
    decode other "$another"
    ln -P -- "./$path" "./$other"
done
lines other | while IFS=$'\t' read -r name mode; do
    echo "extract-by-hand: left out: $name (mode $(printf '%o' "$mode"))" >&2
done
# Directories last, the deepest first and "." in the end: what is made in one changes its time.
lines dir | sort -r | while IFS=$'\t' read -r name mode uid gid mtime; do
    attributes "$name" "$mode" "$uid" "$gid" "$mtime"
done

echo "$(lines file | wc -l) files, $(lines dir | grep -vc "^\.$(printf '\t')") directories in $target"
