-- The index: a view of the lookup log, rebuilt from it whenever it is missing or wrong.
-- Times are integer nanoseconds since the epoch, days are proleptic ordinals in the store's
-- time zone, names are the bytes that the mount saw. NULL means "the usual": 0, none, empty.

PRAGMA page_size = 8192;
-- Pages that became free can be given back (IndexWriter.finish): one page in 1,600 says where the
-- others are referred to.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;

-- All of it at one go: a transaction for each table and index would sync 78 times.
BEGIN;

-- What the index stands for: 'schema', 'segment', 'offset', 'seq', 'chain' (the position in the
-- log up to which it is applied), 'ino', 'content', 'archive' (the next numbers to give), 'hot'
-- (the last hot segment that was used), 'swept' and 'closed' (the last record
-- that let history go, and its time: versions at rest by then stay closed), 'open' (1 until the
-- index is closed). It comes first: of the tables' pages in a batch its page is the first that
-- SQLite moves from the write-ahead log into the file (docs/formats/index.md).
CREATE TABLE state (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- Inodes that have a name, or are still held open without one (nlink = 0). `state` is all that is
-- known of one, packed by disk/rows.py; its third and fourth byte are the mode. A row does not
-- grow when the content is packed.
CREATE TABLE inode (
    ino   INTEGER PRIMARY KEY,
    nlink INTEGER NOT NULL,
    state BLOB NOT NULL
);
CREATE INDEX inode_orphan ON inode (nlink) WHERE nlink = 0;

-- Inodes with content in the hot log: all extents of their part 0.
CREATE TABLE hot (
    ino     INTEGER PRIMARY KEY,
    segment INTEGER NOT NULL,  -- the smallest hot segment that the extents need
    last    INTEGER NOT NULL,  -- recorded time of the inode's last change
    extents BLOB NOT NULL      -- MessagePack of a list of extents
);
CREATE INDEX hot_segment ON hot (segment, last);

-- Directories of the live tree, to go down it: what their inodes say.
CREATE TABLE directory (
    ino    INTEGER PRIMARY KEY,
    parent INTEGER,            -- NULL: none
    files  INTEGER NOT NULL    -- its names of regular files
);
CREATE INDEX directory_parent ON directory (parent);

-- Names of the live tree, in the order in which directories list them.
CREATE TABLE dentry (
    parent INTEGER NOT NULL,
    cookie INTEGER NOT NULL,
    hash   INTEGER,            -- of the name (rows.name_hash); NULL in directories of few (names.py)
    name   BLOB NOT NULL,
    ino    INTEGER NOT NULL,
    begin  INTEGER,            -- when the binding began; NULL: with version `made` of its inode
    made   INTEGER,
    PRIMARY KEY (parent, cookie)
) WITHOUT ROWID;
CREATE INDEX dentry_name ON dentry (parent, hash) WHERE hash IS NOT NULL;
CREATE INDEX dentry_ino ON dentry (ino);

-- Parts 1 and up of files above 16 MiB.
CREATE TABLE part (
    ino     INTEGER NOT NULL,
    part    INTEGER NOT NULL,
    version INTEGER NOT NULL,  -- of the inode, when the part last changed
    extents BLOB NOT NULL,
    hot     INTEGER,
    PRIMARY KEY (ino, part)
) WITHOUT ROWID;
CREATE INDEX part_hot ON part (hot) WHERE hot IS NOT NULL;

-- History: the last version of an inode that began on `day`, until a later one begins.
CREATE TABLE version (
    ino     INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    version INTEGER NOT NULL,
    begin   INTEGER NOT NULL,  -- effective time
    mode    INTEGER NOT NULL,
    nlink   INTEGER NOT NULL,
    uid     INTEGER NOT NULL,
    gid     INTEGER NOT NULL,
    size    INTEGER NOT NULL,
    mtime   INTEGER NOT NULL,
    ctime   INTEGER,
    atime   INTEGER,
    extents BLOB,
    hot     INTEGER,
    extra   BLOB,
    PRIMARY KEY (ino, day)
) WITHOUT ROWID;
CREATE INDEX version_hot ON version (hot) WHERE hot IS NOT NULL;

-- History of part 1 and up: what the part was for all versions up to and with `until`.
CREATE TABLE past_part (
    ino     INTEGER NOT NULL,
    part    INTEGER NOT NULL,
    until   INTEGER NOT NULL,
    extents BLOB NOT NULL,
    hot     INTEGER,
    PRIMARY KEY (ino, part, until)
) WITHOUT ROWID;
CREATE INDEX past_part_hot ON past_part (hot) WHERE hot IS NOT NULL;

-- History of names: from `day` on a name stood for `ino` (NULL: for nothing), until the next row
-- of that name or until the live binding begins.
CREATE TABLE binding (
    parent INTEGER NOT NULL,
    name   BLOB NOT NULL,
    day    INTEGER NOT NULL,
    ino    INTEGER,
    made   INTEGER,            -- of a directory's first names, which are as old as what is in it
                               -- (`since`): 1; 2 when it was gone at the end of its first day,
                               -- `day` is the day before that, the last one that may show it.
                               -- Of nothing: 3 when what ended left no trace
    PRIMARY KEY (parent, name, day)
) WITHOUT ROWID;
CREATE INDEX binding_ino ON binding (ino) WHERE ino IS NOT NULL;

-- Directories that are older than their first names say, because of their modification time or
-- of what is in them.
CREATE TABLE since (
    ino INTEGER PRIMARY KEY,
    day INTEGER NOT NULL
);

-- Names that lost an open version a moment ago (batch.Vacated), oldest first; few are kept.
CREATE TABLE vacated (
    place  INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL,
    name   BLOB NOT NULL,
    ino    INTEGER NOT NULL,
    begin  INTEGER NOT NULL,   -- effective time of the binding
    t      INTEGER NOT NULL    -- recorded time of its end
);

-- Days that saw a change.
CREATE TABLE day (
    day INTEGER PRIMARY KEY
);

-- Contents of archives, those of 25 successive numbers in a row, packed by disk/contents.py.
CREATE TABLE content (
    row  INTEGER PRIMARY KEY,
    held BLOB NOT NULL
);

-- The rows of `content` with a SHA-256 that begins with these 3 bytes, as a signed number.
CREATE TABLE digest (
    prefix INTEGER NOT NULL,
    row    INTEGER NOT NULL,
    PRIMARY KEY (prefix, row)
) WITHOUT ROWID;

-- The rows of `content` with contents of an archive.
CREATE TABLE held (
    archive INTEGER NOT NULL,
    row     INTEGER NOT NULL,
    PRIMARY KEY (archive, row)
) WITHOUT ROWID;

CREATE TABLE archive (
    archive INTEGER PRIMARY KEY,
    members INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
);
