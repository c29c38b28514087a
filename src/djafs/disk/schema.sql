-- The index: a view of the lookup log, rebuilt from it whenever it is missing or wrong.
-- Times are integer nanoseconds since the epoch, days are proleptic ordinals in the store's
-- time zone, names are the bytes that the mount saw. NULL means "the usual": 0, none, empty.

PRAGMA page_size = 4096;

-- What the index stands for: 'schema', 'segment', 'offset', 'seq', 'chain' (the position in the
-- log up to which it is applied), 'ino', 'content', 'archive' (the next numbers to give), 'hot'
-- (the last hot segment that was used), 'swept' and 'closed' (the last record
-- that let history go, and its time: versions at rest by then stay closed), 'open' (1 until the
-- index is closed). It comes first: of the pages of a batch its page is the first that SQLite moves
-- from the write-ahead log into the file (docs/formats/index.md).
CREATE TABLE state (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- Inodes that have a name, or are still held open without one (nlink = 0).
CREATE TABLE inode (
    ino     INTEGER PRIMARY KEY,
    mode    INTEGER NOT NULL,
    nlink   INTEGER NOT NULL,
    uid     INTEGER NOT NULL,
    gid     INTEGER NOT NULL,
    size    INTEGER NOT NULL,
    mtime   INTEGER NOT NULL,
    ctime   INTEGER,           -- NULL: as mtime
    atime   INTEGER,           -- NULL: as mtime
    last    INTEGER,           -- recorded time of the last change; NULL: as ctime
    version INTEGER NOT NULL,  -- counts up from 1
    floor   INTEGER,           -- effective time of what this version replaces; NULL: nothing
    flags   INTEGER NOT NULL,  -- 1 content, 2 explicit, 4 seen (model.Inode)
    extents BLOB,              -- of part 0: MessagePack of a list of model extents
    hot     INTEGER,           -- smallest hot segment that the extents need; NULL: none
    parent  INTEGER,           -- of a directory
    entries INTEGER,           -- of a directory: its names
    files   INTEGER,           -- of a directory: its names of regular files
    extra   BLOB               -- MessagePack of {rdev, target, xattrs, born}, where there are any
);
CREATE INDEX inode_hot ON inode (hot, last) WHERE hot IS NOT NULL;
CREATE INDEX inode_orphan ON inode (nlink) WHERE nlink = 0;
CREATE INDEX inode_parent ON inode (parent) WHERE parent IS NOT NULL;

-- Names of the live tree, in the order in which directories list them.
CREATE TABLE dentry (
    parent INTEGER NOT NULL,
    cookie INTEGER NOT NULL,
    hash   INTEGER NOT NULL,   -- CRC-32 of the name
    name   BLOB NOT NULL,
    ino    INTEGER NOT NULL,
    begin  INTEGER,            -- when the binding began; NULL: with version `made` of its inode
    made   INTEGER,
    PRIMARY KEY (parent, cookie)
) WITHOUT ROWID;
CREATE INDEX dentry_name ON dentry (parent, hash);
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

-- Contents of archives.
CREATE TABLE content (
    cid     INTEGER PRIMARY KEY,
    digest  BLOB NOT NULL,     -- SHA-256
    archive INTEGER NOT NULL,
    at      INTEGER NOT NULL,  -- in the tar
    size    INTEGER NOT NULL
);
CREATE INDEX content_digest ON content (substr(digest, 1, 8));
CREATE INDEX content_archive ON content (archive, at);

CREATE TABLE archive (
    archive INTEGER PRIMARY KEY,
    members INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
);
