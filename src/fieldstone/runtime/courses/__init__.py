"""Getting at courses: archives, versions, snapshots, and what of them a process keeps."""
