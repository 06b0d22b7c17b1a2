// What Autocast.cpp needs beyond Guard.hpp: slow to compile.
#pragma once
#pragma clang system_header
#include <ATen/autocast_mode.h>
