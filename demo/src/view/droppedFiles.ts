/** The files that were dropped on the page, those of folders included, in the order of their names. */
export async function droppedFiles(transfer: DataTransfer): Promise<readonly File[]> {
  // Entries must be taken before anything is awaited: the browser empties the transfer afterwards.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null)
  if (entries.length === 0) return [...transfer.files]
  const files = (await Promise.all(entries.map(filesOf))).flat()
  return files.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function filesOf(entry: FileSystemEntry): Promise<readonly File[]> {
  if (entry.name.startsWith('.')) return []
  if (isFile(entry)) return [await new Promise<File>((resolve, reject) => entry.file(resolve, reject))]
  if (!isFolder(entry)) return []
  const reader = entry.createReader()
  const found: FileSystemEntry[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (some.length === 0) break // readEntries gives a folder in portions
    found.push(...some)
  }
  return (await Promise.all(found.map(filesOf))).flat()
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile
}

function isFolder(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory
}
