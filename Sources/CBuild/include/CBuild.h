// Which state of the sources this is built from; see Package.swift.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/// The commit in hexadecimal digits, followed by "+" if files had changed since; empty if the build was not told.
const char *CBuildCommit(void);

#ifdef __cplusplus
}
#endif
