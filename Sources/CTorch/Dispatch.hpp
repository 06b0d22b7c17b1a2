// The dispatcher's headers, separate from Guard.hpp because they are slow to compile.
#pragma once
#pragma clang system_header
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>
