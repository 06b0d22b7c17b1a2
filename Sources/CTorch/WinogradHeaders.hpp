// What Winograd.cpp needs beyond Guard.hpp: slow to compile.
#pragma once
#pragma clang system_header
#include <ATen/TensorOperators.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>
